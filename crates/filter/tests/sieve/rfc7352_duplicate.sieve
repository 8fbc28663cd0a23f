# RFC 7352 §3, §5.
require ["duplicate", "fileinto", "mailbox", "variables"];
if duplicate { discard; }
if header :matches "subject" "ALERT: *" {
    if duplicate :seconds 60 :uniqueid "${1}" :handle "alerts" :last { fileinto "again"; }
}
if duplicate :header "X-Absent" { fileinto "absent"; }
/*
== context
seen disk full
== message
Message-ID: <a@b.test>
Subject: ALERT: disk full

== expect
fileinto "again"
seen a@b.test for 604800
seen disk full of alerts for 60 again
*/
