# RFC 5230 §4.1: the simplest answer.
require "vacation";
vacation "I'm out -- send mail to cyrus-bugs";
/*
== message
From: sender@example.net
To: me@example.com
Subject: Cyrus bug

== expect
vacation to sender@example.net for 604800, from me@example.com, "Auto: Cyrus bug": "I'm out -- send mail to cyrus-bugs"
implicit keep
*/
