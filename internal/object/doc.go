// Package object is the object store: the S3 gateway that clients talk to, the
// embedded S3 server behind it, and the client that the server itself uses.
//
// A request of a client is verified with our own keys, decided, and sent on
// under the upstream's credentials. The upstream is either the embedded server
// (a child process that keeps objects as plain files and listens on a Unix
// socket) or an external S3 endpoint of the configuration. Bodies stream
// through; nothing grows with the size of an object.
//
// The embedded server is a process of its own because its library changes the
// working directory and allows one instance per process. What it does
// differently from S3 is put right in the gateway, in front of it.
package object
