# RFC 5293 §4, and tests see it.
require ["editheader", "variables", "fileinto"];
fileinto "before";
if not header :contains "X-Sieve-Filtered" ["<kim@job.example.com>", "<kim@home.example.com>"] {
    addheader "X-Sieve-Filtered" "<kim@job.example.com>";
}
addheader :last "X-Last" "ünïcode";
if header :is "x-sieve-filtered" "<kim@job.example.com>" { fileinto "after"; }
if header :is "x-last" "ünïcode" { keep; }
/*
== message
Subject: x

body

== expect
fileinto "before"
fileinto "after"
keep
| X-Sieve-Filtered: <kim@job.example.com>
| Subject: x
| X-Last: =?utf-8?q?=C3=BCn=C3=AFcode?=
|
| body
*/
