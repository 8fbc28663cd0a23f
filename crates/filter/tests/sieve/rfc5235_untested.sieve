require ["spamtestplus", "fileinto", "relational", "comparator-i;ascii-numeric"];
if spamtest :count "eq" :percent :comparator "i;ascii-numeric" "0" { fileinto "unclassified"; }
if spamtest "0" { fileinto "zero"; }
/*
== expect
fileinto "unclassified"
fileinto "zero"
*/
