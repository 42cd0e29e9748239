// Dead-lettering: why, where from, how often.
package main

import (
	"maps"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func checkDeath(delivery amqp.Delivery, expected amqp.Table) {
	death := maps.Clone(delivery.Headers["x-death"].([]any)[0].(amqp.Table))
	if age := time.Since(death["time"].(time.Time)); age < -time.Minute || age > time.Minute {
		failf("x-death time is %v old", age)
	}
	delete(death, "time")
	equal(death, expected, "x-death")
	for _, which := range []string{"x-first-death-", "x-last-death-"} {
		if which == "x-last-death-" && onRabbitMQ3("x-last-death-* came with RabbitMQ 3.13") {
			continue
		}
		for _, field := range []string{"reason", "queue", "exchange"} {
			equal(delivery.Headers[which+field], expected[field], which+field)
		}
	}
}

func deadLetter(s *scope) {
	channel := s.confirming()
	exchange := s.declareExchange(channel, "exchange", "direct", nil)
	dlx := s.declareExchange(channel, "dlx", "topic", nil)
	dead := s.declare(channel, "dead", nil)
	check(channel.QueueBind(dead, "#", dlx, false, nil))
	work := func(name string, args amqp.Table) string {
		args["x-dead-letter-exchange"] = dlx
		queue := s.declare(channel, name, args)
		check(channel.QueueBind(queue, name, exchange, false, nil))
		return queue
	}
	death := func(queue, reason string, keys ...any) amqp.Table {
		return amqp.Table{"count": int64(1), "reason": reason, "queue": queue, "exchange": exchange, "routing-keys": keys}
	}

	rejected := work("rejected", amqp.Table{})
	headers := amqp.Table{"kept": int32(1), "CC": []any{"copy"}}
	send(channel, exchange, "rejected", amqp.Publishing{Headers: headers, MessageId: "m-1", Body: []byte("no")})
	check(getOne(channel, rejected, false).Reject(false))
	letter := await(channel, dead)
	checkDeath(letter, death(rejected, "rejected", "rejected", "copy"))
	equal([]any{string(letter.Body), letter.Exchange, letter.RoutingKey, letter.MessageId, letter.Headers["kept"]},
		[]any{"no", dlx, "rejected", "m-1", int32(1)}, "rejected message")

	expired := work("expired", amqp.Table{"x-dead-letter-routing-key": "other.key"})
	send(channel, exchange, "expired", expiring("late", "50"))
	letter = await(channel, dead)
	expected := death(expired, "expired", "expired")
	expected["original-expiration"] = "50"
	checkDeath(letter, expected)
	equal([]any{letter.RoutingKey, letter.Expiration}, []any{"other.key", ""}, "key and expiration")

	short := work("short", amqp.Table{"x-max-length": 1})
	send(channel, exchange, "short", text("first"))
	send(channel, exchange, "short", text("second"))
	letter = await(channel, dead)
	equal(string(letter.Body), "first", "dropped head")
	checkDeath(letter, death(short, "maxlen", "short"))

	full := work("full", amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish-dlx"})
	equal(send(channel, exchange, "full", text("first")), true, "confirm of the first")
	equal(send(channel, exchange, "full", text("second")), false, "confirm of the second")
	letter = await(channel, dead)
	equal(string(letter.Body), "second", "rejected publish")
	checkDeath(letter, death(full, "maxlen", "full"))
	retries(s, channel)
	cycle(s, channel)
}

func toQueue(queue string, more amqp.Table) amqp.Table {
	args := amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
	maps.Copy(args, more)
	return args
}

// A message that is rejected, waits in a queue with a TTL and comes back: counts rise, newest entry first.
func retries(s *scope, channel *amqp.Channel) {
	work := s.declare(channel, "retried", toQueue(s.queue("wait"), nil))
	wait := s.declare(channel, "wait", toQueue(work, amqp.Table{"x-message-ttl": 30}))
	sendText(channel, work, "again")
	deliveries := consume(channel, work, "retrying", nil)
	for round := range int64(3) {
		delivery := next(deliveries, "delivery")
		if round > 0 {
			deaths := delivery.Headers["x-death"].([]any)
			equal(len(deaths), 2, "deaths")
			latest, earlier := deaths[0].(amqp.Table), deaths[1].(amqp.Table)
			equal([]any{latest["queue"], latest["reason"], latest["count"]}, []any{wait, "expired", round}, "latest death")
			equal([]any{earlier["queue"], earlier["reason"], earlier["count"]}, []any{work, "rejected", round}, "earlier death")
			equal(delivery.Headers["x-first-death-queue"], work, "first death")
		}
		if round < 2 {
			check(delivery.Nack(false, false))
		} else {
			check(delivery.Ack(false))
		}
	}
}

// A cycle without a rejection ends: the message is dropped when it would enter the queue again.
func cycle(s *scope, channel *amqp.Channel) {
	queue := s.queue("cycle")
	must(channel.QueueDeclare(queue, false, false, false, false, toQueue(queue, amqp.Table{"x-message-ttl": 30})))
	sendText(channel, queue, "round")
	time.Sleep(500 * time.Millisecond)
	equal(depth(channel, queue), 0, "messages in a cycle")
}

func deliveryLimit(s *scope) {
	channel := s.confirming()
	queue, dead := s.queue("queue"), s.queue("dead")
	must(channel.QueueDeclare(dead, true, false, false, false, nil))
	args := toQueue(dead, amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": 2})
	must(channel.QueueDeclare(queue, true, false, false, false, args))
	sendText(channel, queue, "poison")
	deliveries := consume(channel, queue, "", nil)
	for _, count := range []any{nil, int64(1), int64(2)} {
		delivery := next(deliveries, "delivery")
		equal(delivery.Headers["x-delivery-count"], count, "x-delivery-count")
		equal(delivery.Redelivered, count != nil, "redelivered")
		check(delivery.Reject(true)) // since 4.3 nack with requeue does not count
	}
	letter := await(channel, dead)
	equal(string(letter.Body), "poison", "dead letter")
	checkDeath(letter, amqp.Table{
		"count": int64(1), "reason": "delivery_limit", "queue": queue, "exchange": "", "routing-keys": []any{queue},
	})
	quiet(deliveries, "after the delivery limit")
}
