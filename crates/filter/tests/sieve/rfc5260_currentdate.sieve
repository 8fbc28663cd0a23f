# RFC 5260 §5, the examples of vacation periods.
require ["date", "relational", "fileinto", "variables"];
if allof(currentdate :value "ge" "date" "2007-06-30", currentdate :value "le" "date" "2007-07-07") {
  fileinto "on vacation";
}
if currentdate :matches "month" "*" { set "month" "${1}"; }
if currentdate :matches "year" "*" { set "year" "${1}"; }
fileinto "${month}-${year}";
if currentdate :is "julian" "54283" { fileinto "julian"; }
if currentdate :is "weekday" "1" { fileinto "monday"; }
/*
== context
now 2007-07-02T10:00:00Z
== expect
fileinto "on vacation"
fileinto "07-2007"
fileinto "julian"
fileinto "monday"
*/
