-- The widest window looks back 7 + 30 days; earlier rows are not read.
with window_days as (
    select
        min(stg_feature_days.day) as first_day,
        max(stg_feature_days.day) as last_day
    from {{ ref('stg_feature_days') }} as stg_feature_days
),

source as (
    select
        raw_transactions.transaction_id,
        raw_transactions.tx_datetime,
        raw_transactions.customer_id,
        raw_transactions.terminal_id,
        raw_transactions.tx_amount,
        raw_transactions.tx_fraud
    from {{ source('landing', 'raw_transactions') }} as raw_transactions
)

select
    cast(source.transaction_id as integer) as transaction_id,
    cast(source.tx_datetime as timestamp) as tx_datetime,
    cast(source.tx_datetime as date) as tx_day,
    {{ epoch_seconds('source.tx_datetime') }} as tx_time_s,
    cast(source.customer_id as integer) as customer_id,
    cast(source.terminal_id as integer) as terminal_id,
    cast(source.tx_amount as double) as tx_amount,
    cast(round(source.tx_amount * 100) as bigint) as amount_cents,
    cast(source.tx_fraud as tinyint) as tx_fraud
from source
cross join window_days
where
    cast(source.tx_datetime as date) >= {{ days_before('window_days.first_day', 37) }}
    and cast(source.tx_datetime as date) <= window_days.last_day
