# RFC 5703 §9.1, the example: drop messages with dangerous attachments.
require ["foreverypart", "mime", "fileinto", "variables", "extracttext"];
foreverypart {
    if header :mime :contenttype :is "Content-Type" "text/html" {
        extracttext :first 9 "html";
    }
    if anyof (
        header :mime :contenttype :is "Content-Type" ["application/exe", "audio/x-wav"],
        header :mime :param "filename" :matches ["Content-Type", "Content-Disposition"] ["*.com", "*.exe"]) {
        fileinto "INBOX.suspect";
        break;
    }
}
if header :mime :anychild :subtype "Content-Type" "html" { fileinto "any ${html}"; }
if header :mime :type "Content-Type" "multipart" { fileinto "multipart"; }
if header :mime :param "boundary" "Content-Type" "x" { fileinto "param"; }
if exists :mime :anychild "Content-Disposition" { fileinto "exists"; }
if not exists "Content-Disposition" { keep; }
/*
== message
Subject: x
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/html; charset=utf-8

<b>bold</b> words
--x
Content-Type: application/octet-stream
Content-Disposition: attachment; filename=virus.EXE

MZ
--x--

== expect
fileinto "INBOX.suspect"
fileinto "any <b>bold</"
fileinto "multipart"
fileinto "param"
fileinto "exists"
keep
*/
