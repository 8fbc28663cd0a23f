# RFC 5173 §6: body leaves match variables alone.
require ["body", "variables", "fileinto"];
if header :matches "Subject" "I have *" { }
if body :matches "*anvil*" { fileinto "${1}"; }
/*
== expect
fileinto "a present for you"
*/
