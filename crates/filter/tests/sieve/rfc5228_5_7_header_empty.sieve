# RFC 5228 §5.7: X-Caffeine with an empty value.
require "fileinto";
if header :is ["X-Caffeine"] [""] { fileinto "is empty"; }
if header :contains ["X-Caffeine"] [""] { fileinto "contains empty"; }
if header :is ["X-Decaf"] [""] { fileinto "absent is empty"; }
if header :contains ["X-Decaf"] [""] { fileinto "absent contains empty"; }
/*
== message
X-Caffeine: C8H10N4O2
Subject: x

== expect
fileinto "contains empty"
*/
