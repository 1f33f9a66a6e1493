package ops

// Quorum returns how many of the given number of voters must agree before anything is committed: the smallest majority.
// No voters have no quorum: the answer is then 1, which cannot be met.
func Quorum(voters int) int { return max(voters, 0)/2 + 1 }

// Votes counts the voters of a cluster. A voter that never started, that is down or that cannot be reached votes for
// nothing and still counts towards the majority: it is in Total and not in Healthy.
type Votes struct {
	Total   int `json:"total"`   // voting members in the membership
	Healthy int `json:"healthy"` // those that were seen to work
}

// Quorum returns the majority that the cluster needs.
func (v Votes) Quorum() int { return Quorum(v.Total) }

// HasQuorum reports whether the healthy voters are a majority.
func (v Votes) HasQuorum() bool { return v.Healthy >= v.Quorum() }

// Tolerance returns how many more voters may fail before the majority is lost. It is negative when the majority is
// already lost: -1 means that one more voter is needed.
func (v Votes) Tolerance() int { return v.Healthy - v.Quorum() }

// Design returns how many voters a cluster of this size survives losing when all are healthy.
func (v Votes) Design() int { return v.Total - v.Quorum() }
