# RFC 5293 §5: by value, by index; Received stays (§6).
require "editheader";
deleteheader :index 1 :last :contains "Delivered-To" "example";
deleteheader :index 2 :contains "Delivered-To" "not there";
deleteheader :matches "X-*" "*";
deleteheader "X-Gone";
deleteheader :is "X-Kept" "other";
deleteheader "Received";
/*
== message
Received: x
Delivered-To: a@example.org
Delivered-To: b@example.org
X-Gone: 1
X-Kept: 2
X-Gone: 3

== expect
implicit keep
| Received: x
| Delivered-To: a@example.org
| X-Kept: 2
*/
