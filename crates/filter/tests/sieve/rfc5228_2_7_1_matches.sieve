require "fileinto";
if header :matches "Subject" "I ha?e a*you" { fileinto "1"; }
if header :matches "Subject" "*PRESENT*" { fileinto "2"; }
if header :matches :comparator "i;octet" "Subject" "*PRESENT*" { fileinto "3"; }
if header :matches "Subject" "I have" { fileinto "4"; }
/*
== expect
fileinto "1"
fileinto "2"
*/
