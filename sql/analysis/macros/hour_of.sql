-- The hour of a moment as image_posts names it, in UTC: hour_of(now()) is such as 2026-11-23-19.
CREATE MACRO hour_of(moment) AS strftime(timezone('UTC', moment), '%Y-%m-%d-%H');
