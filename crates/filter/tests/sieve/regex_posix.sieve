require ["regex", "variables", "fileinto"];
if address :comparator "i;ascii-casemap" :regex ["from"] ["^[^@]+@([[:alnum:].]+)\\.org$"] { fileinto "${1}"; }
if header :regex :comparator "i;octet" "Subject" "^i have" { fileinto "no"; }
if header :regex "Subject" "(present|absent) for (you|me)" { fileinto "${0}: ${1} ${2}"; }
set :quoteregex "q" "a.b*";
fileinto "${q}";
/*
== expect
fileinto "desert.example"
fileinto "present for you: present you"
fileinto "a\.b\*"
*/
