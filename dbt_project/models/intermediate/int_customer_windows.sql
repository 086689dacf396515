-- One day is 86,400 s; a window holds the last w days to the second, its own row included.
with window_days as (
    select min(stg_feature_days.day) as first_day
    from {{ ref('stg_feature_days') }} as stg_feature_days
),

transactions as (
    select
        stg_transactions.transaction_id,
        stg_transactions.tx_day,
        stg_transactions.tx_time_s,
        stg_transactions.customer_id,
        stg_transactions.amount_cents
    from {{ ref('stg_transactions') }} as stg_transactions
    cross join window_days
    where stg_transactions.tx_day >= {{ days_before('window_days.first_day', 30) }}
),

windows as (
    select
        transactions.transaction_id,
        transactions.tx_day,
        count(*) over last_1_days as nb_tx_1,
        sum(transactions.amount_cents) over last_1_days as cents_1,
        count(*) over last_7_days as nb_tx_7,
        sum(transactions.amount_cents) over last_7_days as cents_7,
        count(*) over last_30_days as nb_tx_30,
        sum(transactions.amount_cents) over last_30_days as cents_30
    from transactions
    window
        last_1_days as (
            partition by transactions.customer_id
            order by transactions.tx_time_s
            range between 86399 preceding and current row
        ),
        last_7_days as (
            partition by transactions.customer_id
            order by transactions.tx_time_s
            range between 604799 preceding and current row
        ),
        last_30_days as (
            partition by transactions.customer_id
            order by transactions.tx_time_s
            range between 2591999 preceding and current row
        )
)

select
    windows.transaction_id,
    cast(windows.nb_tx_1 as integer) as customer_id_nb_tx_1day_window,
    cast(windows.nb_tx_7 as integer) as customer_id_nb_tx_7day_window,
    cast(windows.nb_tx_30 as integer) as customer_id_nb_tx_30day_window,
    cast(windows.cents_1 as double)
    / cast(100 * windows.nb_tx_1 as double) as customer_id_avg_amount_1day_window,
    cast(windows.cents_7 as double)
    / cast(100 * windows.nb_tx_7 as double) as customer_id_avg_amount_7day_window,
    cast(windows.cents_30 as double)
    / cast(100 * windows.nb_tx_30 as double) as customer_id_avg_amount_30day_window
from windows
inner join {{ ref('stg_feature_days') }} as stg_feature_days
    on windows.tx_day = stg_feature_days.day
