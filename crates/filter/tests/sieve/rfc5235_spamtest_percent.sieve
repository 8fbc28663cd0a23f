require ["spamtestplus", "fileinto", "relational", "comparator-i;ascii-numeric"];
if spamtest :value "eq" :percent :comparator "i;ascii-numeric" "37" { fileinto "37"; }
if spamtest :percent :count "eq" :comparator "i;ascii-numeric" "1" { fileinto "tested"; }
/*
== context
spam 37
== expect
fileinto "37"
fileinto "tested"
*/
