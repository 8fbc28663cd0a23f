require ["envelope"];
if address :is :all "from" "tim@example.com" { discard; }
/*
== message
From: "Tim" <TIM@example.com>

== expect
discard
*/
