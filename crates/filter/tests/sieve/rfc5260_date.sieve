# RFC 5260 §4, §5: a message from the late hours of a day.
require ["date", "relational", "fileinto"];
if allof(header :is "from" "boss@example.com",
         date :value "ge" :originalzone "date" "hour" "09",
         date :value "lt" :originalzone "date" "hour" "17") { fileinto "urgent"; }
if anyof(date :is "received" "weekday" "0", date :is "received" "weekday" "6") { fileinto "weekend"; }
if date :zone "+0900" "date" "iso8601" "2026-01-06T01:30:00+09:00" { fileinto "zone"; }
if date :originalzone "date" "zone" "-0500" { fileinto "original"; }
if date "date" "time" "16:30:00" { fileinto "local"; }
/*
== message
Received: from x by y; Sat, 03 Jan 2026 10:00:00 +0000
From: boss@example.com
Date: Mon, 05 Jan 2026 11:30:00 -0500 (EST)

== expect
fileinto "urgent"
fileinto "weekend"
fileinto "zone"
fileinto "original"
fileinto "local"
*/
