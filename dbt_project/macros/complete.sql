{#- No value of these columns is missing: one look at the table instead of one for each column. -#}
{% test complete(model, columns) %}
select *
from {{ model }}
where
    {%- for column in columns %}
    {{ column }} is null
    {%- if not loop.last %} or{% endif %}
    {%- endfor %}
{% endtest %}
