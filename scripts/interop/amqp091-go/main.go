// What users of amqp091-go do with a broker: main [FEATURE]... See ../README.md.
package main

import "os"

var features = []feature{
	{"handshake", handshake},
	{"topology", topology},
	{"topic_headers", topicHeaders},
	{"alternate_exchange", alternateExchange},
	{"confirms", confirms},
	{"returns", returns},
	{"get", get},
	{"prefetch", prefetch},
	{"requeue", requeue},
	{"ttl", ttl},
	{"dead_letter", deadLetter},
	{"max_length", maxLength},
	{"priority", priority},
	{"consumer_priority", consumerPriority},
	{"single_active", singleActive},
	{"exclusive", exclusive},
	{"delivery_limit", deliveryLimit},
	{"cancel_notify", cancelNotify},
	{"errors", channelAndConnectionErrors},
	{"tx", tx},
	{"direct_reply_to", directReplyTo},
	{"cc_bcc", ccBcc},
	{"user_id", userID},
	{"properties", properties},
	{"large", large},
	{"channels_500", channels500},
	{"heartbeat", heartbeat},
	{"restart", restart},
}

func main() { os.Exit(run(features, os.Args[1:])) }
