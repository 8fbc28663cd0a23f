require "enotify";
notify "mailto:a@example.org";
/*
== message
Auto-Submitted: auto-notified; owner-email="me@example.com"

== expect
implicit keep
*/
