-- Returns the transactions of the asked days that the mart lacks (an inner join may lose rows).
select stg_transactions.transaction_id
from {{ ref('stg_transactions') }} as stg_transactions
inner join {{ ref('stg_feature_days') }} as stg_feature_days
    on stg_transactions.tx_day = stg_feature_days.day
left join {{ ref('fct_transaction_features') }} as fct_transaction_features
    on stg_transactions.transaction_id = fct_transaction_features.transaction_id
where fct_transaction_features.transaction_id is null
