package ops

// explainChanges explains why a change of the membership was refused.
func explainChanges() []Explanation {
	return []Explanation{
		{
			string(CodeQuorumLoss), "the change would lose the quorum",
			"After the change fewer voters live than must agree. Only members that answered within the last second count; members that never started count against.",
			"None: nothing was changed. With the change the cluster would neither read nor write, and could not be changed back.",
			[]string{"etcdops quorum shows who counts and who lives", "bring a dead voter back, or remove the dead ones first, one after the other", "etcdops quorum --remove A --add B shows what a sequence of changes does"},
		},
		{
			string(CodeNoQuorum), "there is no quorum to make a change with",
			"Fewer voters live than must agree, or they do not agree on a leader: a change of the membership needs both.",
			"None: nothing was changed.",
			[]string{"etcdops health names the members that are down", "start one of them: each that comes back may restore the quorum", "when they are gone for good, the cluster must be rebuilt from a data directory that is left"},
		},
		{
			string(CodeRisk), "a risk was not accepted",
			"The change keeps the quorum and has a danger with a name, which the error tells.",
			"None: nothing was changed.",
			[]string{"etcdops explain with the name of the risk tells what it means and what to do instead", "--accept-risk=NAME makes the change all the same; each risk is accepted by its own name"},
		},
		{
			string(CodeServerRefuses), "the server's own check refuses the change",
			"etcd (strict-reconfig-check) wants a majority of started members, and its leader connected to enough of them for more than five seconds.",
			"None: nothing was changed.",
			[]string{"etcdops quorum shows who never started and who is down", "start or remove members that never started", "remove dead members before others are added"},
		},
		{
			string(CodeCannotChange), "the change means nothing for this cluster",
			"The member does not exist, is what it is to become already, or the peer URL belongs to another member.",
			"None: nothing was changed.",
			[]string{"etcdops member list"},
		},
		{
			string(CodeListsDiffer), "the members do not agree who is a member",
			"A member that works has another member list than the others: it lags behind, or belongs to another history.",
			"None: nothing was changed. A change on top of such a difference may leave two clusters.",
			[]string{"etcdops health names the members that differ", "try again in a moment: after a change lists differ until all members have applied it"},
		},
		{
			string(CodeWrongAddress), "another member, or a stranger, lives at the peer URL",
			"The address was tried: what answers there is not the member that is to have it.",
			"None: nothing was changed. etcd itself takes any address, and loses the member with it.",
			[]string{"check host and port; peers use 2380 by default"},
		},
		{
			string(CodeStalePlan), "the membership has changed since the plan was made",
			"Between the proof that was shown and the change, another member list was found: another operator or a controller changes it too.",
			"None: nothing was changed by this plan.",
			[]string{"etcdops member list", "find out who else changes the cluster, then run the command again"},
		},
		{
			string(CodeNotVerified), "the change was made, and could not be verified",
			"The leader committed it. Within ten seconds a member that works did not show it, or no leader was found again.",
			"The member that does not show it lags, or takes part no more.",
			[]string{"etcdops member list shows what the cluster has decided", "etcdops health names the member that lags"},
		},
	}
}
