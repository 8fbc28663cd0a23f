require "fileinto";
if size :over 500K { discard; }
if size :under 1K { fileinto "small"; }
/*
== expect
fileinto "small"
*/
