// Exchanges, queues and bindings.
package main

import (
	"fmt"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// routed publishes and names, sorted, the queues that have the message; takes it from them.
func routed(channel *amqp.Channel, queues map[string]string, exchange, key string, headers amqp.Table) string {
	equal(send(channel, exchange, key, amqp.Publishing{Headers: headers}), true, "confirm")
	var reached []string
	for name, queue := range queues {
		for range drain(channel, queue) {
			reached = append(reached, name)
		}
	}
	slices.Sort(reached)
	return strings.Join(reached, " ")
}

func (s *scope) exclusiveQueues(channel *amqp.Channel, names ...string) map[string]string {
	queues := map[string]string{}
	for _, name := range names {
		queues[name] = s.exclusive(channel, name)
	}
	return queues
}

func (s *scope) declareExchange(channel *amqp.Channel, name, kind string, args amqp.Table) string {
	exchange := s.exchange(name)
	check(channel.ExchangeDeclare(exchange, kind, false, false, false, false, args))
	return exchange
}

func topology(s *scope) {
	channel := s.confirming()
	queues := s.exclusiveQueues(channel, "first", "second")
	first, second := queues["first"], queues["second"]
	for _, kind := range []string{"direct", "fanout", "topic", "headers"} {
		exchange := s.exchange(kind)
		check(channel.ExchangeDeclare(exchange, kind, true, false, false, false, nil))
		check(channel.ExchangeDeclarePassive(exchange, kind, true, false, false, false, nil))
		headers := amqp.Table{"number": int32(1)}
		check(channel.QueueBind(first, "key", exchange, false, headers))
		equal(routed(channel, queues, exchange, "key", headers), "first", kind)
		check(channel.QueueUnbind(first, "key", exchange, headers))
		equal(routed(channel, queues, exchange, "key", headers), "", kind+" unbound")
	}

	source := s.declareExchange(channel, "source", "topic", nil)
	sink := s.declareExchange(channel, "sink", "fanout", nil)
	check(channel.ExchangeBind(sink, "a.*", source, false, nil))
	check(channel.QueueBind(first, "", sink, false, nil))
	check(channel.QueueBind(second, "a.b", source, false, nil))
	equal(routed(channel, queues, source, "a.b", nil), "first second", "exchange to exchange")
	check(channel.ExchangeUnbind(sink, "a.*", source, false, nil))
	equal(routed(channel, queues, source, "a.b", nil), "second", "exchange unbound")

	internal := s.exchange("internal")
	check(channel.ExchangeDeclare(internal, "fanout", false, false, true, false, nil))
	publisher := s.channel()
	closedWith(publisher, 403, "publish to an internal exchange", func() {
		check(publisher.Publish(internal, "", false, false, amqp.Publishing{}))
	})
	shortLived := s.exchange("autodelete")
	check(channel.ExchangeDeclare(shortLived, "fanout", false, true, false, false, nil))
	check(channel.QueueBind(first, "", shortLived, false, nil))
	check(channel.QueueUnbind(first, "", shortLived, nil))
	err := s.channel().ExchangeDeclarePassive(shortLived, "fanout", false, true, false, false, nil)
	hasCode(err, 404, "auto-delete exchange without bindings")

	hasCode(s.channel().ExchangeDelete(source, true, false), 406, "exchange in use")
	sendText(channel, second, "kept")
	_, err = s.channel().QueueDelete(second, false, true, false)
	hasCode(err, 406, "queue with a message")
	consume(channel, first, "user", nil)
	_, err = s.channel().QueueDelete(first, true, false, false)
	hasCode(err, 406, "queue with a consumer")
	check(channel.Cancel("user", false))
	equal(must(channel.QueueDelete(first, true, true, false)), 0, "messages deleted")
	equal(must(channel.QueueDelete(second, false, false, false)), 1, "messages deleted")
	check(channel.ExchangeDelete(source, true, false)) // its last binding went with the queue
}

func topicHeaders(s *scope) {
	channel := s.confirming()
	topic := s.declareExchange(channel, "topic", "topic", nil)
	patterns := map[string]string{
		"star": "*.orange.*", "tail": "*.*.rabbit", "lazy": "lazy.#", "every": "#", "middle": "a.#.z",
	}
	queues := map[string]string{}
	for name, pattern := range patterns {
		queues[name] = s.exclusive(channel, name)
		check(channel.QueueBind(queues[name], pattern, topic, false, nil))
	}
	for key, expected := range map[string]string{
		"quick.orange.rabbit":      "every star tail",
		"lazy.orange.elephant":     "every lazy star",
		"lazy.pink.rabbit":         "every lazy tail",
		"lazy":                     "every lazy",
		"lazy.a.b.c":               "every lazy",
		"orange":                   "every",
		"":                         "every",
		"quick.orange.male.rabbit": "every",
		"a.z":                      "every middle",
		"a.b.c.z":                  "every middle",
		"a..z":                     "every middle",
	} {
		equal(routed(channel, queues, topic, key, nil), expected, "topic key "+key)
	}

	headers := s.declareExchange(channel, "headers", "headers", nil)
	matches := map[string]string{"all": "all", "any": "any", "allx": "all-with-x", "anyx": "any-with-x"}
	matching := map[string]string{}
	for name, match := range matches {
		matching[name] = s.exclusive(channel, name)
		args := amqp.Table{"x-match": match, "format": "pdf", "x-pages": int32(4)}
		check(channel.QueueBind(matching[name], "", headers, false, args))
	}
	for _, sent := range []struct {
		headers  amqp.Table
		expected string
	}{
		{amqp.Table{"format": "pdf", "x-pages": int32(4)}, "all allx any anyx"},
		{amqp.Table{"format": "pdf"}, "all any anyx"},
		{amqp.Table{"x-pages": int32(4)}, "anyx"},
		{amqp.Table{"format": "doc"}, ""},
		{amqp.Table{"format": "pdf", "x-pages": int32(5), "more": true}, "all any anyx"},
		{amqp.Table{}, ""},
	} {
		equal(routed(channel, matching, headers, "", sent.headers), sent.expected, fmt.Sprint(sent.headers))
	}
}

func alternateExchange(s *scope) {
	channel := s.confirming()
	alternate := s.declareExchange(channel, "alternate", "fanout", nil)
	main := s.declareExchange(channel, "main", "direct", amqp.Table{"alternate-exchange": alternate})
	known, unknown := s.exclusive(channel, "known"), s.exclusive(channel, "unknown")
	check(channel.QueueBind(known, "known", main, false, nil))
	check(channel.QueueBind(unknown, "", alternate, false, nil))
	returns := channel.NotifyReturn(make(chan amqp.Return, 3))
	mandatory := func(key string) {
		publishing := amqp.Publishing{Body: []byte(key)}
		equal(must(channel.PublishWithDeferredConfirm(main, key, true, false, publishing)).Wait(), true, "confirm")
	}
	mandatory("known")
	mandatory("else")
	equal(len(returns), 0, "returns")
	equal(drain(channel, known), []string{"known"}, "the known key")
	equal(drain(channel, unknown), []string{"else"}, "the alternate exchange's queue")
	check(channel.QueueUnbind(unknown, "", alternate, nil))
	mandatory("nowhere")
	equal(string(next(returns, "return").Body), "nowhere", "returned")
}
