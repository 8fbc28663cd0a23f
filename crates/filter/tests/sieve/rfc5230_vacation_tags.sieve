# RFC 5230 §4.2, §4.4, §4.5: days, subject, addresses, from.
require "vacation";
if header :contains "subject" "cyrus" {
   vacation :days 23 :addresses ["tjs@example.edu", "ts4z@landru.example.edu"]
      :subject "Automatic response to: your mail" :from "Tim <tjs@example.edu>" :handle "ran-away"
      "I'm away until October 19.";
}
/*
== message
From: sender@example.net
To: "T" <ts4z@LANDRU.example.edu>
Subject: Cyrus bug

== expect
vacation to sender@example.net for 1987200, from tjs@example.edu, "Automatic response to: your mail": "I'm away until October 19."
implicit keep
*/
