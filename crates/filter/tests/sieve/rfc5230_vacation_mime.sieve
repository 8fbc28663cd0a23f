# RFC 5230 §4.1, the example with :mime, cut short.
require "vacation";
vacation :mime text:
Content-Type: multipart/alternative; boundary=foo

--foo

I'm at the beach relaxing.  Mmmm, surf...

--foo
Content-Type: text/html; charset=us-ascii

<HTML>I'm at the beach</HTML>

--foo--
.
;
/*
== message
From: sender@example.net
To: me@example.com

== expect
vacation to sender@example.net for 604800, from me@example.com, "Automated reply": "I'm at the beach relaxing.  Mmmm, surf..."
implicit keep
*/
