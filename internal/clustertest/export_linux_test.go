package clustertest

// KillIfOf is the reaper's rule.
var KillIfOf = killIfOf
