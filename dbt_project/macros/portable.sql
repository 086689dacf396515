{#- What DuckDB and Spark spell differently. Everything else in the models is the same SQL on both. -#}

{% macro epoch_seconds(moment) -%}
    {{ return(adapter.dispatch('epoch_seconds', 'fraud_provenance')(moment)) }}
{%- endmacro %}

{% macro default__epoch_seconds(moment) -%}
    unix_timestamp({{ moment }})
{%- endmacro %}

{% macro duckdb__epoch_seconds(moment) -%}
    cast(epoch_us({{ moment }}) // 1000000 as bigint)
{%- endmacro %}

{% macro days_before(day, days) -%}
    {{ return(adapter.dispatch('days_before', 'fraud_provenance')(day, days)) }}
{%- endmacro %}

{% macro default__days_before(day, days) -%}
    date_sub({{ day }}, {{ days }})
{%- endmacro %}

{% macro duckdb__days_before(day, days) -%}
    cast({{ day }} - interval {{ days }} day as date)
{%- endmacro %}

{#- Monday is 0, as in the handbook. -#}
{% macro weekday(moment) -%}
    {{ return(adapter.dispatch('weekday', 'fraud_provenance')(moment)) }}
{%- endmacro %}

{% macro default__weekday(moment) -%}
    weekday({{ moment }})
{%- endmacro %}

{% macro duckdb__weekday(moment) -%}
    (isodow({{ moment }}) - 1)
{%- endmacro %}
