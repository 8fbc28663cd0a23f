require "replace";
replace :subject "New" :from "Me <me@example.com>" "other words";
/*
== message
From: a@example.org
Subject: Old
Content-Type: text/html
Content-Transfer-Encoding: 7bit

<p>old

== expect
implicit keep
| Original-From: a@example.org
| Original-Subject: Old
| From: Me <me@example.com>
| Subject: New
| MIME-Version: 1.0
| Content-Type: text/plain; charset=us-ascii
| Content-Transfer-Encoding: 7bit
|
| other words
*/
