// Runs features one after another: a connection, a deadline, clean-up and one line of output for each.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	deadline        = 20 * time.Second
	restartDeadline = 40 * time.Second
	quietTime       = 200 * time.Millisecond
)

var (
	host     = net.JoinHostPort(env("AMQP_HOST", "127.0.0.1"), env("AMQP_PORT", "5672"))
	user     = env("AMQP_USER", "guest")
	password = env("AMQP_PASSWORD", "guest")
	vhost    = env("AMQP_VHOST", "/")
	messages = must(strconv.Atoi(env("INTEROP_MESSAGES", "10000")))
	idle     = must(strconv.Atoi(env("INTEROP_IDLE_S", "5")))
	peer     = env("INTEROP_PEER", "this")
)

var notes []string

// onRabbitMQ3 says whether the peer is RabbitMQ 3, which differs from what must hold: noted with the reason.
func onRabbitMQ3(why string) bool {
	if peer == "rabbitmq3" && !slices.Contains(notes, why) {
		notes = append(notes, why)
	}
	return peer == "rabbitmq3"
}

func env(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }

// A failure ends the feature that panics with it.
type failure string

func failf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

func check(err error) {
	if err != nil {
		failf("%v", err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func equal(actual, expected any, what string) {
	if !reflect.DeepEqual(actual, expected) {
		failf("%s: expected %v, got %v", what, expected, actual)
	}
}

func hasCode(err error, code int, what string) {
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Code != code {
		failf("%s: expected code %d, got %v", what, code, err)
	}
}

// next is the next value of a Go channel that the library feeds; the feature's deadline ends the wait.
func next[T any](from <-chan T, what string) T {
	value, open := <-from
	if !open {
		failf("%s: channel closed", what)
	}
	return value
}

func quiet(from <-chan amqp.Delivery, what string) {
	select {
	case delivery, open := <-from:
		failf("%s: expected nothing, got %q (open %v)", what, delivery.Body, open)
	case <-time.After(quietTime):
	}
}

func dial(config amqp.Config, password string) (*amqp.Connection, error) {
	if config.SASL == nil {
		config.SASL = []amqp.Authentication{&amqp.PlainAuth{Username: user, Password: password}}
	}
	config.Vhost = cmp.Or(config.Vhost, vhost)
	config.Heartbeat = cmp.Or(config.Heartbeat, 20*time.Second)
	return amqp.DialConfig("amqp://"+host, config)
}

// A scope is what one feature uses; all of it goes when the feature ends.
type scope struct {
	feature     string
	connection  *amqp.Connection
	connections []*amqp.Connection
	queues      []string
	exchanges   []string
}

func (s *scope) connect(config amqp.Config) *amqp.Connection {
	connection := must(dial(config, password))
	s.connections = append(s.connections, connection)
	return connection
}

func (s *scope) channel() *amqp.Channel { return must(s.connection.Channel()) }

func (s *scope) confirming() *amqp.Channel {
	channel := s.channel()
	check(channel.Confirm(false))
	return channel
}

func (s *scope) named(name string) string { return "interop.go." + s.feature + "." + name }

// queue is the name of a queue that does not exist yet and is deleted at the end.
func (s *scope) queue(name string) string {
	s.queues = append(s.queues, s.named(name))
	channel := s.channel()
	defer channel.Close()
	must(channel.QueueDelete(s.named(name), false, false, false))
	return s.named(name)
}

func (s *scope) exchange(name string) string {
	s.exchanges = append(s.exchanges, s.named(name))
	channel := s.channel()
	defer channel.Close()
	check(channel.ExchangeDelete(s.named(name), false, false))
	return s.named(name)
}

func (s *scope) close() {
	for _, connection := range s.connections {
		_ = connection.Close() // a feature may have closed it
	}
	connection := must(dial(amqp.Config{}, password))
	defer connection.Close()
	channel := must(connection.Channel())
	for _, queue := range s.queues {
		must(channel.QueueDelete(queue, false, false, false))
	}
	for _, exchange := range s.exchanges {
		check(channel.ExchangeDelete(exchange, false, false))
	}
}

type feature struct {
	name string
	test func(*scope)
}

// within runs the work and returns why it failed, if it did.
func within(limit time.Duration, work func()) (reason string) {
	done := make(chan string, 1)
	go func() {
		defer func() {
			switch cause := recover().(type) {
			case nil:
				done <- ""
			case failure:
				if os.Getenv("INTEROP_TRACE") != "" {
					debug.PrintStack()
				}
				done <- strings.ReplaceAll(string(cause), "\n", " | ")
			default:
				done <- fmt.Sprint("panic: ", cause)
			}
		}()
		work()
	}()
	select {
	case reason = <-done:
	case <-time.After(limit):
		reason = fmt.Sprintf("not done within %v", limit)
	}
	return reason
}

func (f feature) run() bool {
	s := &scope{feature: f.name}
	limit := deadline
	if f.name == "restart" {
		limit = restartDeadline
	}
	reason := within(limit, func() {
		s.connection = s.connect(amqp.Config{})
		f.test(s)
	})
	if left := within(5*time.Second, s.close); reason == "" && left != "" {
		reason = "clean-up: " + left
	}
	for _, note := range notes {
		fmt.Printf("note %s: %s: %s\n", f.name, peer, note)
	}
	notes = nil
	if reason != "" {
		fmt.Printf("FAIL %s: %s\n", f.name, reason)
	} else {
		fmt.Println("ok", f.name)
	}
	return reason == ""
}

func run(features []feature, chosen []string) (exitCode int) {
	for _, name := range chosen {
		if !slices.ContainsFunc(features, func(f feature) bool { return f.name == name }) {
			fmt.Println("unknown feature", name)
			return 2
		}
	}
	for _, f := range features {
		if len(chosen) > 0 && !slices.Contains(chosen, f.name) {
			continue
		}
		if f.name == "restart" && os.Getenv("INTEROP_RESTART") == "" {
			if len(chosen) > 0 {
				fmt.Println("skip restart: INTEROP_RESTART is not set")
			}
			continue
		}
		if !f.run() {
			exitCode = 1
		}
	}
	return exitCode
}
