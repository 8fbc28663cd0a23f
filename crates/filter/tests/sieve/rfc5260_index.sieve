# RFC 5260 §6, §7.
require ["index", "date", "relational", "fileinto"];
if header :index 1 :contains "received" "first" { fileinto "first"; }
if header :index 1 :last :contains "received" "third" { fileinto "last"; }
if header :index 4 :contains "received" "" { fileinto "none"; }
if date :value "gt" :index 2 :zone "-0500" "received" "iso8601" "2007-02-26T09:00:00-05:00" { fileinto "two"; }
if address :index 2 :localpart "to" "c" { fileinto "field, not address"; }
/*
== message
Received: from first; Tue, 27 Feb 2007 12:00:00 +0000
Received: from second; Tue, 27 Feb 2007 11:00:00 +0000
Received: from third; Tue, 27 Feb 2007 10:00:00 +0000
To: a@example.org, b@example.org
To: c@example.org

== expect
fileinto "first"
fileinto "last"
fileinto "two"
fileinto "field, not address"
*/
