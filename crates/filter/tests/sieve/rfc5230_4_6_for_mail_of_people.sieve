require "vacation";
vacation "away";
/*
== message
From: sender@example.net
To: me@example.com
Auto-Submitted: no

== expect
vacation to sender@example.net for 604800, from me@example.com, "Automated reply": "away"
implicit keep
*/
