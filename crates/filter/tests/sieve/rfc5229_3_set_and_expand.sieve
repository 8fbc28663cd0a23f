# RFC 5229 §3: what is a reference and what is not.
require ["variables", "fileinto"];
set "company" "ACME";
fileinto "1 &%${}!";
fileinto "2 ${doh!}";
fileinto "3 ${President, ${Company} Inc.}";
fileinto "4 ${BAD${Company}";
/*
== expect
fileinto "1 &%${}!"
fileinto "2 ${doh!}"
fileinto "3 ${President, ACME Inc.}"
fileinto "4 ${BADACME"
*/
