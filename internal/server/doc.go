// Package server is the whole program: it reads the configuration, wires every
// other package together, and runs until it is told to end. It is the only
// package that knows all others, and the only one that reads the environment.
//
// One TCP address answers everything. Requests are told apart in route.go:
// API calls by X-Amz-Target or by the query protocol's Action, our own pages
// below /_glaux/, and everything else is S3. A Unix socket, the agent socket,
// has the same handler; shims forward to it what code inside a session asks.
// A second Unix socket, the control socket, is for "glaux stop" and
// "glaux env"; only the user who runs the server can open it.
package server
