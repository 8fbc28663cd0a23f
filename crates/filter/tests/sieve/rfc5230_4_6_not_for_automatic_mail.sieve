require "vacation";
vacation "away";
/*
== message
From: sender@example.net
To: me@example.com
Auto-Submitted: auto-replied (vacation)

== expect
implicit keep
*/
