# RFC 6131 §2, and the catch-all address that another name leads to.
require ["vacation-seconds"];
vacation :addresses ["tjs@example.edu", "ts4z@landru.example.edu"] :seconds 1800 "I am in a meeting.";
/*
== context
original ts4z@landru.example.edu
== message
To: ts4z@landru.example.edu

== expect
vacation to sender@example.net for 1800, from ts4z@landru.example.edu, "Automated reply": "I am in a meeting."
implicit keep
*/
