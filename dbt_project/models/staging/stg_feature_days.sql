select distinct cast(feature_days.day as date) as day
from {{ source('landing', 'feature_days') }} as feature_days
