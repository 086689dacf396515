select
    stg_transactions.transaction_id,
    stg_transactions.tx_datetime,
    stg_transactions.customer_id,
    stg_transactions.terminal_id,
    stg_transactions.tx_amount,
    stg_transactions.tx_fraud,
    cast(
        case when {{ weekday('stg_transactions.tx_datetime') }} >= 5 then 1 else 0 end as tinyint
    ) as tx_during_weekend,
    cast(
        case when extract(hour from stg_transactions.tx_datetime) <= 6 then 1 else 0 end as tinyint
    ) as tx_during_night,
    int_customer_windows.customer_id_nb_tx_1day_window,
    int_customer_windows.customer_id_nb_tx_7day_window,
    int_customer_windows.customer_id_nb_tx_30day_window,
    int_customer_windows.customer_id_avg_amount_1day_window,
    int_customer_windows.customer_id_avg_amount_7day_window,
    int_customer_windows.customer_id_avg_amount_30day_window,
    int_terminal_windows.terminal_id_nb_tx_1day_window,
    int_terminal_windows.terminal_id_nb_tx_7day_window,
    int_terminal_windows.terminal_id_nb_tx_30day_window,
    int_terminal_windows.terminal_id_risk_1day_window,
    int_terminal_windows.terminal_id_risk_7day_window,
    int_terminal_windows.terminal_id_risk_30day_window
from {{ ref('stg_transactions') }} as stg_transactions
inner join {{ ref('stg_feature_days') }} as stg_feature_days
    on stg_transactions.tx_day = stg_feature_days.day
inner join {{ ref('int_customer_windows') }} as int_customer_windows
    on stg_transactions.transaction_id = int_customer_windows.transaction_id
inner join {{ ref('int_terminal_windows') }} as int_terminal_windows
    on stg_transactions.transaction_id = int_terminal_windows.transaction_id
order by stg_transactions.transaction_id
