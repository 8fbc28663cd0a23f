# RFC 5703 §6, the example, with headers.
require "enclose";
enclose :subject "Warning" :headers ["To", "From", "Date"] text:
WARNING! The enclosed message has attachments that might be unsafe.
.
;
/*
== context
now 2026-01-05T10:00:00Z
== message
From: a@example.org
To: me@example.com
Date: Mon, 05 Jan 2026 11:30:00 +0000
Subject: x

body

== expect
implicit keep
| From: a@example.org
| To: me@example.com
| Date: Mon, 05 Jan 2026 11:30:00 +0000
| Subject: Warning
| MIME-Version: 1.0
| Content-Type: multipart/mixed; boundary="=_"
| Content-Transfer-Encoding: 7bit
|
| --=_
| Content-Type: text/plain; charset=us-ascii
| Content-Transfer-Encoding: 7bit
|
| WARNING! The enclosed message has attachments that might be unsafe.
|
| --=_
| Content-Type: message/rfc822
| Content-Transfer-Encoding: 7bit
|
| From: a@example.org
| To: me@example.com
| Date: Mon, 05 Jan 2026 11:30:00 +0000
| Subject: x
|
| body
|
| --=_--
*/
