-- A label is known 7 days (604,800 s) after its transaction: every frame ends there.
with transactions as (
    select
        stg_transactions.transaction_id,
        stg_transactions.tx_day,
        stg_transactions.tx_time_s,
        stg_transactions.terminal_id,
        cast(stg_transactions.tx_fraud as integer) as tx_fraud
    from {{ ref('stg_transactions') }} as stg_transactions
),

windows as (
    select
        transactions.transaction_id,
        transactions.tx_day,
        count(*) over known_1_days as nb_tx_1,
        sum(transactions.tx_fraud) over known_1_days as frauds_1,
        count(*) over known_7_days as nb_tx_7,
        sum(transactions.tx_fraud) over known_7_days as frauds_7,
        count(*) over known_30_days as nb_tx_30,
        sum(transactions.tx_fraud) over known_30_days as frauds_30
    from transactions
    window
        known_1_days as (
            partition by transactions.terminal_id
            order by transactions.tx_time_s
            range between 691199 preceding and 604800 preceding
        ),
        known_7_days as (
            partition by transactions.terminal_id
            order by transactions.tx_time_s
            range between 1209599 preceding and 604800 preceding
        ),
        known_30_days as (
            partition by transactions.terminal_id
            order by transactions.tx_time_s
            range between 3196799 preceding and 604800 preceding
        )
)

select
    windows.transaction_id,
    cast(windows.nb_tx_1 as integer) as terminal_id_nb_tx_1day_window,
    cast(windows.nb_tx_7 as integer) as terminal_id_nb_tx_7day_window,
    cast(windows.nb_tx_30 as integer) as terminal_id_nb_tx_30day_window,
    case
        when windows.nb_tx_1 = 0 then cast(0 as double)
        else cast(windows.frauds_1 as double) / cast(windows.nb_tx_1 as double)
    end as terminal_id_risk_1day_window,
    case
        when windows.nb_tx_7 = 0 then cast(0 as double)
        else cast(windows.frauds_7 as double) / cast(windows.nb_tx_7 as double)
    end as terminal_id_risk_7day_window,
    case
        when windows.nb_tx_30 = 0 then cast(0 as double)
        else cast(windows.frauds_30 as double) / cast(windows.nb_tx_30 as double)
    end as terminal_id_risk_30day_window
from windows
inner join {{ ref('stg_feature_days') }} as stg_feature_days
    on windows.tx_day = stg_feature_days.day
