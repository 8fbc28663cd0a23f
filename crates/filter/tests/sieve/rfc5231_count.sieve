# RFC 5231 §6: the count of addresses.
require ["relational", "comparator-i;ascii-numeric", "fileinto"];
if address :count "gt" :comparator "i;ascii-numeric" ["to"] ["5"] { fileinto "SPAM"; }
if address :count "ge" :comparator "i;ascii-numeric" ["to", "cc"] ["3"] { fileinto "three"; }
/*
== message
To: a@example.org, team: b@example.org, c@example.org;
Cc: d@example.org, e@example.org, f@example.org

== expect
fileinto "three"
*/
