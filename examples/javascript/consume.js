// Print related items as they change: npm install && node consume.js [HOST:PORT]
import { Consumer, stringDeserializers } from '@platformatic/kafka'

const consumer = new Consumer({
  clientId: 'my-shop',
  groupId: 'my-shop-javascript',
  bootstrapBrokers: [process.argv[2] ?? 'localhost:9092'],
  deserializers: stringDeserializers
})
const lists = await consumer.consume({ topics: ['related-items'], mode: 'committed', fallbackMode: 'earliest' })

for await (const { key, value } of lists) {
  const list = value ? JSON.parse(value) : null
  const related = list?.related.map((entry) => `${entry.item_id} ${entry.together}`).join(', ')
  console.log(key, related ?? 'has no list any more')
}
