# RFC 5229 §3.2, the example of mailing lists.
require ["fileinto", "variables"];
if header :matches "List-ID" "*<*@*" {
    fileinto "INBOX.lists.${2}";
}
if header :matches ["Subject", "To"] "[*] *" { fileinto "${0}/${1}/${2}/${3}"; }
/*
== message
Subject: [acme-users] [fwd] version 1.0 is out
List-ID: The users <acme-users@example.com>

== expect
fileinto "INBOX.lists.acme-users"
fileinto "[acme-users] [fwd] version 1.0 is out/acme-users/[fwd] version 1.0 is out/"
*/
