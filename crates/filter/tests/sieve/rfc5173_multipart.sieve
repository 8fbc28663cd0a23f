require ["body", "fileinto"];
if body :content "text/html" :contains "<b>" { fileinto "html"; }
if body :content "multipart" :contains "prologue" { fileinto "prologue"; }
if body :content "message" :contains "inner subject" { fileinto "inner"; }
if body :content "" :contains "AGVs" { fileinto "raw is not decoded"; }
if body :raw :contains "AGVsbG8" { fileinto "raw"; }
if body :content "application" :contains "hello" { fileinto "decoded"; }
if body :text :contains "bold words" { fileinto "text of html"; }
if body :content "text//" :contains "" { fileinto "malformed"; }
/*
== message
Subject: outer
Content-Type: multipart/mixed; boundary=x

the prologue
--x
Content-Type: text/html

<p>some <b>bold</b>
words
--x
Content-Type: message/rfc822

Subject: inner subject

inner body
--x
Content-Type: application/octet-stream
Content-Transfer-Encoding: base64

aGVsbG8=
AAGVsbG8
--x--

== expect
fileinto "html"
fileinto "prologue"
fileinto "inner"
fileinto "raw"
fileinto "decoded"
fileinto "text of html"
*/
