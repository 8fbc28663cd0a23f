require ["fileinto", "variables"];
if header :matches "Subject" "*foo*bar*" { fileinto "(${1})(${2})(${3})"; }
/*
== message
Subject: a foo b foo c bar d bar e

== expect
fileinto "(a )( b foo c )( d bar e)"
*/
