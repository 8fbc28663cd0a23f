require ["fileinto"];
if header :is "Sender" "owner-ietf-mta-filters@imc.org" { fileinto "filter"; }
elsif address :DOMAIN :is ["From", "To"] "example.com" { keep; }
else { fileinto "personal"; }
/*
== message
From: someone@example.org
Sender: owner-ietf-mta-filters@imc.org

== expect
fileinto "filter"
*/
