require "vacation";
vacation "away";
/*
== message
From: sender@example.net
To: me@example.com
List-Id: <x.example.net>

== expect
implicit keep
*/
