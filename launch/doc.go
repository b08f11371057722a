// Package launch is the contract between vgid-launch and the workers it
// starts: the environment variables, FromEnv that reads them, and the exit
// code that says "a peer failed, not I".
//
// # How a job starts
//
// Every machine runs one agent (vgid-launch). The agents
//
//  1. bind one listening socket per local worker, so that the addresses they
//     promise are already theirs;
//  2. find each other by gossip (launch/discovery, hashicorp/memberlist);
//  3. agree on an immutable View (launch/view): the lowest live incarnation
//     proposes epoch, job, token and the rank-ordered list of nodes and
//     addresses; every member acknowledges; the proposer commits. Gossip only
//     discovers and suspects, it never decides ranks;
//  4. start one worker per rank (launch/agent), hand it its socket, prefix and
//     collect its output, forward signals, and report every exit to the other
//     agents (launch/relay: by way of the lowest one, so that it costs a node
//     nothing that there are many). Who is dead, when workers are asked to end
//     and killed, and what came first is decided by launch/job, which has no
//     sockets, processes or clocks;
//  5. end together: exit status 0 when every rank of every node did, else the
//     status of the first cause, which all agents compute from the same
//     reports.
//
// With --local the same happens on one machine: vgid-launch starts one agent
// process per node. They are processes, not goroutines, so that killing or
// freezing one is what losing a machine is, and no state can leak between
// nodes except over the wire.
//
// # What a worker gets
//
//	VGID_RANK               rank in 0..world-1
//	VGID_WORLD_SIZE         number of ranks
//	VGID_LOCAL_RANK         rank among the workers of this node
//	VGID_LOCAL_WORLD_SIZE   workers of this node
//	VGID_NODE_RANK          node in 0..nodes-1
//	VGID_NODE               name of the node, for people
//	VGID_EPOCH              epoch of the view, >= 1; belongs in every data header
//	VGID_JOB                name of the job
//	VGID_PEERS              host:port of every rank, comma separated, in rank order
//	VGID_TOKEN              secret of this launch, the same on every rank
//	VGID_TLS_CA VGID_TLS_CERT VGID_TLS_KEY   for mutual TLS between workers, all or none: PEM texts, or files that hold them
//	VGID_LISTEN_FD          file descriptor of the socket that listens on this rank's address
//	VGID_NOTICE_FD          file descriptor of a pipe in which the agent tells of lost ranks (Notice)
//	VGID_RECORDS            folder, to be made, for a record of the last calls of a worker whose communication fails
//	RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE GROUP_RANK   the same for programs that expect torchrun's names
//	GOMAXPROCS              cores of the machine / workers of the machine, at least 1, unless set already
//
// A worker that ends because a peer failed exits with ExitPeerFailed, so that
// the launcher looks further for the first cause. Standard input is empty.
//
// # Failures
//
// A failing worker makes its agent stop the other workers (SIGTERM, after the
// grace SIGKILL) and report to the other agents, which do the same; so does
// somebody who ends the job by a signal. A killed agent takes its workers with
// it (Linux: parent-death signal) and is noticed by the others in about a
// second, by its port that refuses connections; a worker that stands still is
// killed by its agent after four (job.StandFor). docs/launch.md says what else
// is noticed by whom, and when; the transcripts of launch/job play it.
//
// Agents share a secret and hear nobody else; workers prove to each other that
// they know the token of the launch. What workers send is encrypted where they are
// given certificates, of which the launcher knows nothing, and so
// anything but a loopback address is refused unless asked for. docs/launch.md
// says where secrets come from.
package launch
