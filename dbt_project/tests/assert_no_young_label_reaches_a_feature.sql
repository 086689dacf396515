-- Counts the frauds of every terminal window a second time, without window functions: only labels
-- that are at least 7 days old may be in it. Returns the transactions whose risk says otherwise.
with frauds as (
    select
        stg_transactions.terminal_id,
        stg_transactions.tx_time_s
    from {{ ref('stg_transactions') }} as stg_transactions
    where stg_transactions.tx_fraud = 1
),

features as (
    select
        fct_transaction_features.transaction_id,
        fct_transaction_features.terminal_id,
        fct_transaction_features.terminal_id_nb_tx_1day_window
        * fct_transaction_features.terminal_id_risk_1day_window as frauds_1,
        fct_transaction_features.terminal_id_nb_tx_7day_window
        * fct_transaction_features.terminal_id_risk_7day_window as frauds_7,
        fct_transaction_features.terminal_id_nb_tx_30day_window
        * fct_transaction_features.terminal_id_risk_30day_window as frauds_30,
        {{ epoch_seconds('fct_transaction_features.tx_datetime') }} as tx_time_s
    from {{ ref('fct_transaction_features') }} as fct_transaction_features
),

known as (
    select
        features.transaction_id,
        sum(
            case when frauds.tx_time_s > features.tx_time_s - 691200 then 1 else 0 end
        ) as frauds_1,
        sum(
            case when frauds.tx_time_s > features.tx_time_s - 1209600 then 1 else 0 end
        ) as frauds_7,
        sum(
            case when frauds.tx_time_s > features.tx_time_s - 3196800 then 1 else 0 end
        ) as frauds_30
    from features
    inner join frauds
        on
            features.terminal_id = frauds.terminal_id
            and features.tx_time_s - 604800 >= frauds.tx_time_s
            and features.tx_time_s - 3196800 < frauds.tx_time_s
    group by features.transaction_id
)

select features.transaction_id
from features
left join known
    on features.transaction_id = known.transaction_id
where
    abs(features.frauds_1 - coalesce(known.frauds_1, 0)) > 0.001
    or abs(features.frauds_7 - coalesce(known.frauds_7, 0)) > 0.001
    or abs(features.frauds_30 - coalesce(known.frauds_30, 0)) > 0.001
