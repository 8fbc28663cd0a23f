require "fileinto";
if header :is "subject" "Grüße aus Köln" { fileinto "decoded"; }
if header :contains ["X-Other", "SUBJECT"] "KöLN" { fileinto "ascii case only"; }
/*
== message
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus
	=?iso-8859-1?q?K=F6ln?=

== expect
fileinto "decoded"
fileinto "ascii case only"
*/
